/* A libnvidia-ml.so.1 of our own invention, for tests through the real Python binding.
 *
 * NVML_STUB names the scenario (read at nvmlInit), words may be joined by commas:
 *   h200 a100 mig two eight idle      the machine
 *   driver=N                          nvmlInit answers N
 *   lost=N lost0=N                    GPU 1, GPU 0 is lost from its Nth power reading on
 *   mute=N                            GPU 0 answers 999 to everything from its Nth power reading on
 *   noprocs nogpm                     no permission on processes, on GPM samples
 *   gpmnan gpmerr                     NaN and per-metric errors in GPM
 *   sentinels                         values that mean "not available"
 *   norates                           no ring buffer of samples
 *   still                             a ring buffer that never moves
 *   strange                           error codes and bytes that no document lists
 *   unopened                          GPU 1 cannot be opened
 *   pids=A:B:C                        compute processes of GPU 0 (of the first instance under mig)
 *   pids1=A:B                         of GPU 1 (of the second instance)
 *   sm=N mem=N                        percent of time with a kernel, with memory accesses
 *   engine=N smactive=N tensor=N dram=N     percent in GPM
 *   reasons=N limit=N                 bits that hold the clocks down, and the power limit in watts
 *   watts=N                           power, and energy by the clock on the wall: six samples a second likewise
 *                                     a 1 behind the name of any of these: of GPU 1 alone
 * -DOLD leaves out what drivers before 2022 lack.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef unsigned int u32;
typedef unsigned long long u64;
typedef struct dev { int gpu, instance, id; u32 power_reads, memory_reads; } dev;
typedef union { double d; u32 ui; unsigned long ul; u64 ull; long long sll; int si; unsigned short us; } value;
typedef struct { u64 us; value v; } sample;
typedef struct { u32 field, scope; long long us, latency; u32 type; int ret; value v; } fieldvalue;
typedef struct { u32 pid; u64 used; u32 gi, ci; } process;
typedef struct { u32 sms, copy, dec, enc, jpg, ofa, gslices, cslices; u64 mb; } attributes;
typedef struct { u32 id; int ret; double v; const char *text[3]; } metric;
typedef struct { u32 version, count; void *one, *two; metric metrics[]; } metrics;
typedef struct { u32 version, supported; } support;
typedef struct { u32 gpu, memory; } utilization;
typedef struct { u64 total, free, used; } memory;

enum { OK, INVALID = 2, UNSUPPORTED = 3, DENIED = 4, NOT_FOUND = 6, SMALL = 7, LOST = 15, UNKNOWN = 999 };

static dev boards[8], instances[2];
static char scenario[512];
static int gpm_samples, sets, opened;
static u64 pcie_calls;

static int has(const char *word) {
    size_t n = strlen(word);
    for (const char *at = scenario; (at = strstr(at, word)); at += n)
        if ((at == scenario || at[-1] == ',') && (!at[n] || at[n] == ',')) return 1;
    return 0;
}
static const char *option(const char *name) {
    char wanted[32];
    snprintf(wanted, sizeof wanted, ",%s=", name);
    if (!strncmp(scenario, wanted + 1, strlen(wanted) - 1)) return scenario + strlen(wanted) - 1;
    const char *at = strstr(scenario, wanted);
    return at ? at + strlen(wanted) : NULL;
}
static u32 number(const char *name) { const char *t = option(name); return t ? (u32)atoi(t) : 0; }
/* What an option says of a device, or of all; else what stands there without it. */
static double figure(const dev *d, const char *name, double otherwise) {
    char own[32];
    snprintf(own, sizeof own, "%s1", name);
    const char *t = d->gpu == 1 ? option(own) : NULL;
    if (!t) t = option(name);
    return t ? atof(t) : otherwise;
}
static u64 now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000ull + (u64)t.tv_nsec / 1000ull;
}
static u32 count(void) { return has("eight") ? 8 : has("two") ? 2 : 1; }
static int hopper(void) { return !has("a100"); }
static int state(dev *d) {
    u32 from = number("lost"), first = number("lost0"), mute = number("mute");
    if (from && d->gpu == 1 && boards[1].power_reads >= from) return LOST;
    if (first && d->gpu == 0 && boards[0].power_reads >= first) return LOST;
    if (mute && d->gpu == 0 && boards[0].power_reads >= mute) return UNKNOWN;
    return OK;
}
#define ALIVE(d) do { int s = state(d); if (s) return s; } while (0)
#define WHOLE(d) do { ALIVE(d); if ((d)->instance >= 0) return UNSUPPORTED; } while (0)

/* What the tests ask of the stub itself. */
int stub_sets(void) { return sets; }
int stub_gpm_samples(void) { return gpm_samples; }
int stub_opened(void) { return opened; }
int stub_pcie_calls(void) { return (int)pcie_calls; }

int nvmlInitWithFlags(u32 flags) {
    const char *t = getenv("NVML_STUB");
    (void)flags;
    snprintf(scenario, sizeof scenario, "%s", t ? t : "");
    if (number("driver")) return (int)number("driver");
    for (int i = 0; i < 8; i++) boards[i] = (dev){.gpu = i, .instance = -1};
    for (int i = 0; i < 2; i++) instances[i] = (dev){.gpu = 0, .instance = i, .id = i ? 9 : 1};
    pcie_calls = 0;
    opened++;
    return OK;
}
int nvmlShutdown(void) { opened--; return OK; }
const char *nvmlErrorString(int code) { (void)code; return "an error of the stub"; }
int nvmlSystemGetDriverVersion(char *out, u32 n) { snprintf(out, n, "555.58.02"); return OK; }
int nvmlSystemGetNVMLVersion(char *out, u32 n) { snprintf(out, n, "12.555.58.02"); return OK; }
int nvmlDeviceGetCount_v2(u32 *n) { *n = count(); return OK; }
int nvmlDeviceGetHandleByIndex_v2(u32 i, dev **out) {
    if (i >= count()) return INVALID;
    if (has("unopened") && i == 1) return DENIED;
    *out = &boards[i];
    return OK;
}
int nvmlDeviceGetName(dev *d, char *out, u32 n) {
    const char *name = has("a100") ? "NVIDIA A100-SXM4-80GB" : has("h200") ? "NVIDIA H200" : "NVIDIA H100 80GB HBM3";
    if (has("strange")) name = "\xff\xfe";
    ALIVE(d);
    if (d->instance < 0) snprintf(out, n, "%s", name);
    else snprintf(out, n, "%s MIG %s", name, d->instance ? "1g.10gb" : "3g.40gb");
    return OK;
}
int nvmlDeviceGetUUID(dev *d, char *out, u32 n) {
    ALIVE(d);
    snprintf(out, n, "%s-0f0f0f0f-5a5a-4b4b-8c8c-%012x", d->instance < 0 ? "GPU" : "MIG", d->gpu * 16 + d->instance + 1);
    return OK;
}
int nvmlDeviceGetMigMode(dev *d, u32 *now, u32 *later) {
    if (count() > 2) return UNSUPPORTED;
    WHOLE(d);
    *now = *later = has("mig");
    return OK;
}
int nvmlDeviceGetMaxMigDeviceCount(dev *d, u32 *n) { WHOLE(d); *n = 7; return OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(dev *d, u32 i, dev **out) {
    WHOLE(d);
    if (d->gpu || i >= 2) return NOT_FOUND;
    *out = &instances[i];
    return OK;
}
int nvmlDeviceGetGpuInstanceId(dev *d, u32 *id) { if (d->instance < 0) return INVALID; *id = (u32)d->id; return OK; }
int nvmlDeviceGetComputeInstanceId(dev *d, u32 *id) { if (d->instance < 0) return INVALID; *id = 0; return OK; }
int nvmlDeviceGetAttributes_v2(dev *d, attributes *a) {
    if (d->instance < 0) return UNSUPPORTED;
    *a = d->instance ? (attributes){.sms = 16, .gslices = 1, .cslices = 1, .mb = 9984}
                     : (attributes){.sms = 60, .gslices = 3, .cslices = 3, .mb = 40448};
    return OK;
}
int nvmlDeviceGetMemoryInfo(dev *d, memory *m) {
    u64 gib = 1ull << 30;
    ALIVE(d);
    d->memory_reads++;
    if (has("sentinels")) { *m = (memory){~0ull, ~0ull, ~0ull}; return OK; }
    u64 total = d->instance == 0 ? 40 * gib : d->instance == 1 ? 10 * gib : has("h200") ? 141 * gib : 80 * gib;
    *m = (memory){total, total / 4, total - total / 4};
    return OK;
}
int nvmlDeviceGetMemoryBusWidth(dev *d, u32 *bits) { WHOLE(d); *bits = has("h200") ? 6144 : 5120; return OK; }
int nvmlDeviceGetNumGpuCores(dev *d, u32 *n) { WHOLE(d); *n = hopper() ? 16896 : 6912; return OK; }
int nvmlDeviceGetCudaComputeCapability(dev *d, int *major, int *minor) {
    ALIVE(d);
    *major = hopper() ? 9 : 8;
    *minor = 0;
    return OK;
}
static u32 megahertz(u32 kind, int most) {
    if (kind == 2) return has("h200") ? 3201 : has("a100") ? 1593 : 2619;
    if (has("a100")) return most ? 1410 : 1305;
    return most ? 1980 : 1755;
}
int nvmlDeviceGetClockInfo(dev *d, u32 kind, u32 *mhz) {
    WHOLE(d);
    *mhz = has("sentinels") ? 1000000 : megahertz(kind, 0);
    return OK;
}
int nvmlDeviceGetMaxClockInfo(dev *d, u32 kind, u32 *mhz) {
    WHOLE(d);
    *mhz = has("sentinels") ? 1000000 : megahertz(kind, 1);
    return OK;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(dev *d, u64 *bits) {
    WHOLE(d);
    *bits = (u64)figure(d, "reasons", 0x04);
    return OK;
}
int nvmlDeviceGetPowerUsage(dev *d, u32 *mw) {
    d->power_reads++;
    WHOLE(d);
    *mw = has("sentinels") ? 0xFFFFFFFFu : (u32)(1000 * figure(d, "watts", 512 + d->power_reads));
    return OK;
}
int nvmlDeviceGetEnforcedPowerLimit(dev *d, u32 *mw) {
    WHOLE(d);
    *mw = (u32)(1000 * figure(d, "limit", hopper() ? 700 : 400));
    return OK;
}
int nvmlDeviceGetTotalEnergyConsumption(dev *d, u64 *mj) {
    WHOLE(d);
    *mj = has("sentinels") ? ~0ull : 1000000ull + 600000ull * d->power_reads;
    if (option("watts")) *mj = (u64)(figure(d, "watts", 0) * (double)now_us() / 1000.0);
    return OK;
}
int nvmlDeviceGetPcieThroughput(dev *d, u32 counter, u32 *kb) {
    WHOLE(d);
    pcie_calls++;
    *kb = counter ? 3000000 : 2000000;
    return OK;
}
int nvmlDeviceGetMaxPcieLinkGeneration(dev *d, u32 *g) { WHOLE(d); *g = hopper() ? 5 : 4; return OK; }
int nvmlDeviceGetMaxPcieLinkWidth(dev *d, u32 *w) { WHOLE(d); *w = 16; return OK; }
int nvmlDeviceGetFieldValues(dev *d, int n, fieldvalue *f) {
    WHOLE(d);
    for (int i = 0; i < n; i++) {
        u64 kib = (1ull << 20) * (1 + d->power_reads) * (f[i].field == 139 ? 3 : 1);
        f[i].ret = OK;
        f[i].type = 3;
        if (f[i].field == 90) { f[i].type = 1; f[i].v.ui = hopper() ? 26562 : 25000; }
        else if (f[i].field == 91) { f[i].type = 1; f[i].v.ui = hopper() ? 18 : 12; }
        else if (count() == 1) f[i].ret = UNSUPPORTED;
        else if (f[i].field == 138 || f[i].field == 139) f[i].v.ull = f[i].scope == 0xFFFFFFFFu ? kib : kib / 18;
        else f[i].ret = UNSUPPORTED;
    }
    return OK;
}
int nvmlDeviceGetNvLinkState(dev *d, u32 link, u32 *active) {
    WHOLE(d);
    *active = count() > 1 && link < 18;
    return count() > 1 ? OK : UNSUPPORTED;
}
int nvmlDeviceGetTotalEccErrors(dev *d, u32 type, u32 counter, u64 *n) {
    WHOLE(d);
    if (type != 1 || counter) return INVALID;
    *n = 3;
    return OK;
}
#define ENGINE(name, percent) int nvmlDeviceGet##name##Utilization(dev *d, u32 *u, u32 *us) { \
    WHOLE(d); *u = percent; *us = 167000; return OK; }
ENGINE(Encoder, 0)
ENGINE(Decoder, 12)
ENGINE(Ofa, 0)
int nvmlDeviceGetUtilizationRates(dev *d, utilization *u) {
    WHOLE(d);
    if (d->gpu == 0 && has("mig")) return UNSUPPORTED;
    *u = has("sentinels") ? (utilization){4000, 101} : (utilization){77, 33};
    return OK;
}
/* A hundred samples before the start; six a second from then on, a second for each time that memory is read. */
int nvmlDeviceGetSamples(dev *d, u32 kind, u64 seen, u32 *type, u32 *n, sample *out) {
    WHOLE(d);
    if (has("norates") || (d->gpu == 0 && has("mig"))) return UNSUPPORTED;
    u64 last = 1800000000000000ull + (has("still") ? 0 : 1000000ull * d->memory_reads), step = 166000;
    if (option("watts")) last = now_us() / step * step;
    u32 fresh = 0;
    for (u32 i = 0; i < 100; i++)
        if (last - i * step > seen) fresh++;
    *type = 1;
    if (!fresh) return NOT_FOUND;
    if (!out) { *n = 100; return OK; }
    *n = fresh;
    for (u32 i = 0; i < fresh; i++) {
        out[i].us = last - (fresh - 1 - i) * step;
        out[i].v.ull = 0;
        out[i].v.ui = has("sentinels") ? 101 : has("idle") ? 0
            : kind == 1 ? (u32)figure(d, "sm", 90 + i % 3) : (u32)figure(d, "mem", 40);
    }
    return OK;
}
static inline int processes(dev *d, u32 *n, process *out) {
    const char *list = option(d->gpu || d->instance == 1 ? "pids1" : "pids");
    u32 found = 0;
    if (has("noprocs")) return DENIED;
    ALIVE(d);
    if (d->instance < 0 && has("mig")) list = NULL;
    if (d->gpu > 1) list = NULL;
    for (const char *at = list; at && *at && *at != ','; at = *at == ':' ? at + 1 : at) {
        if (out && found < *n) out[found] = (process){(u32)atoi(at), has("sentinels") ? ~0ull : 1ull << 30, 0, 0};
        found++;
        at += strspn(at, "0123456789");
    }
    int fits = out ? found <= *n : !found;
    *n = found;
    return fits ? OK : SMALL;
}
#ifndef OLD
int nvmlDeviceGetComputeRunningProcesses_v3(dev *d, u32 *n, process *out) { return processes(d, n, out); }
int nvmlDeviceGetMPSComputeRunningProcesses_v3(dev *d, u32 *n, process *out) {
    (void)d; (void)out;
    *n = 0;
    return OK;
}
int nvmlDeviceGetCurrentClocksEventReasons(dev *d, u64 *bits) {
    WHOLE(d);
    *bits = (u64)figure(d, "reasons", d->gpu ? 0x40 : 0x04);
    return OK;
}
ENGINE(Jpg, 0)
int nvmlGpmQueryDeviceSupport(dev *d, support *s) {
    ALIVE(d);
    if (s->version != 1) return 25;
    s->supported = (u32)hopper();
    return OK;
}
int nvmlGpmSampleAlloc(dev ***s) { *s = calloc(1, sizeof **s); gpm_samples++; return OK; }
int nvmlGpmSampleFree(dev **s) { free(s); gpm_samples--; return OK; }
int nvmlGpmSampleGet(dev *d, dev **s) {
    WHOLE(d);
    if (has("nogpm")) return DENIED;
    *s = d;
    return OK;
}
int nvmlGpmMigSampleGet(dev *d, u32 instance, dev **s) {
    WHOLE(d);
    for (int i = 0; i < 2; i++)
        if ((u32)instances[i].id == instance) { *s = &instances[i]; return OK; }
    return INVALID;
}
int nvmlGpmMetricsGet(metrics *m) {
    if (m->version != 1) return 25;
    dev *d = *(dev **)m->one;
    if (!d || d != *(dev **)m->two) return INVALID;
    ALIVE(d);
    for (u32 i = 0; i < m->count; i++) {
        u32 id = m->metrics[i].id;
        m->metrics[i].ret = OK;
        m->metrics[i].v = id == 61 ? 2048.0 : id >= 60 ? 1024.0 : id >= 20 ? 128.0 + id : 2.0 * id;
        if (id == 10) m->metrics[i].v = figure(d, "dram", d->instance == 1 ? 25.0 : 74.0);
        if (id == 1) m->metrics[i].v = figure(d, "engine", 100.4);
        if (id == 2) m->metrics[i].v = figure(d, "smactive", 88.0);
        if (id == 3) m->metrics[i].v = 31.0;
        if (id == 5) m->metrics[i].v = figure(d, "tensor", 7.0);
        if (id >= 11 && id <= 13) m->metrics[i].v = 0.5 * id;
        if (has("gpmnan") && id == 10) m->metrics[i].v = NAN;
        if (has("gpmnan") && id == 2) m->metrics[i].v = 4e9;
        if (has("gpmerr") && id >= 11) m->metrics[i].ret = id == 13 ? (has("strange") ? 777 : 3) : 3;
    }
    return OK;
}
#endif

/* Whatever would change a device. None may ever be called. */
#define SET(name) int name(void) { sets++; return OK; }
SET(nvmlGpmSetStreamingEnabled)
SET(nvmlDeviceSetPersistenceMode)
SET(nvmlDeviceSetPowerManagementLimit)
SET(nvmlDeviceSetPowerManagementLimit_v2)
SET(nvmlDeviceSetApplicationsClocks)
SET(nvmlDeviceResetApplicationsClocks)
SET(nvmlDeviceSetGpuLockedClocks)
SET(nvmlDeviceResetGpuLockedClocks)
SET(nvmlDeviceSetMemoryLockedClocks)
SET(nvmlDeviceSetComputeMode)
SET(nvmlDeviceSetEccMode)
SET(nvmlDeviceClearEccErrorCounts)
SET(nvmlDeviceClearFieldValues)
SET(nvmlDeviceSetAccountingMode)
SET(nvmlDeviceSetMigMode)
SET(nvmlDeviceSetNvLinkUtilizationControl)
SET(nvmlDeviceResetNvLinkUtilizationCounter)
SET(nvmlDeviceSetRusdSettings_v1)
