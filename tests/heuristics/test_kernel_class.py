"""What kernels do, told from the names that real libraries give them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heuristics.kernel_class import LETTERS, KernelClass, kernel_class, short_name, uses_tensor_pipe
from heuristics.vocabulary import Cause

GEMM = [
    "ampere_bf16_s16816gemm_bf16_128x128_ldg8_f2f_stages_32x5_tn",
    "ampere_sgemm_128x64_nn",
    "turing_fp16_s1688gemm_fp16_128x128_ldg8_f2f_tn",
    "sm80_xmma_gemm_f16f16_f16f32_f32_tn_n_tilesize128x128x32_stage4_warpsize2x2x1_tensor16x8x16_kernel",
    "void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_bf16_128x128_64x4_tn_align8>(Params)",
    "void cutlass::device_kernel<cutlass::gemm::kernel::GemmUniversal<cute::tuple<int, int, int, int>, X>>(Params)",
    "nvjet_tst_192x192_64x4_2x1_v_bz_coopB_TNN",
    "nvjet_hsh_64x8_64x16_4x1_v_bz_TNN",
    "triton_tem_fused_mm_2",
    "triton_tem_fused_addmm_relu_0",
    "triton_mm",
    "Cijk_Ailk_Bljk_HHS_BH_MT128x128x32_MI32x32x8x1_SN_1LDSB0_APM1_ABV0_ACED0",
    "Cijk_Alik_Bljk_BBS_BH_Bias_HA_S_SAV_UserArgs_MT256x256x64_MI16x16x1_SN",
    "void ck::kernel_gemm_xdl_cshuffle_v3<ck::GridwiseGemm_xdl_cshuffle_v3<>>()",
    "void marlin::Marlin<__nv_bfloat16, 1125899906909960l, 256, 1, 8, 8, true, 4, 8, false>(int4 const*)",
    "void deep_gemm::sm90_fp8_gemm_1d2d_impl<0u, 7168u, 2048u, 1u, 128u>(float*, int*)",
    "_w8a8_block_fp8_matmul",
    "_w8a8_triton_block_scaled_mm",
    "void vllm::gptq::gemm_half_q_half_gptq_4bit_kernel<true, 4>(__half const*)",
    "void gemmSN_NN_kernel<float, 128, 2, 4, 8, 5, 4, false, cublasGemvTensorStridedBatched<float const>>(P<>)",
    "void mul_mat_q<(ggml_type)12, 128, false>(char const*, char const*, int const*)",
    "bmm_E4m3_E2m1E2m1_Fp32_t128x8x512_s6_et64x8_m128x8x64_cga1x1x1_16dp256b_TN_transOut_schedS_sm100a",
]
GEMV = [
    "void gemv2T_kernel_val<int, int, __nv_bfloat16, float, 128, 16, 4, 4, false, true, cublasGemvParamsEx<>>(P<>)",
    "void gemvx::kernel<int, int, __half, float, false, true, true, false, 7, false, cublasGemvParamsEx<>>(P<>)",
    "void gemvNSP_kernel<float, float, float, float, 1, 16, 4, 1024, cublasGemvParams<>>(cublasGemvParams<>)",
    "void dot_kernel<float, 128, 0, cublasDotParams<cublasGemvTensor<float const>>>(cublasDotParams<>)",
    "void cublasLt::splitKreduce_kernel<32, 16, int, float, __nv_bfloat16, float, true, false>(P<float>)",
    "void mul_mat_vec_q<(ggml_type)12, 1, false, false>(void const*, void const*)",
    "void wvSplitK_hf_sml_<__hip_bfloat16, 64, 4, 16, 8, 4, 1>(int, int)",
    "void LLGemm1_kernel<c10::Half, 4>(c10::Half const*)",
    "rocblas_gemvt_warp_reduce_kernel<512, int, float>",
]
ATTENTION = [
    "void flash_fwd_kernel<Flash_fwd_kernel_traits<128, 128, 64, 4, false, false, cutlass::bfloat16_t>>(P)",
    "void flash_fwd_splitkv_combine_kernel<Flash_fwd_kernel_traits<128, 64, 128, 4>>(Flash_fwd_params)",
    "void cutlass::device_kernel<flash::enable_sm90_or_later<flash::FlashAttnFwdSm90<X>>>(Params)",
    "fmha_cutlassF_bf16_aligned_64x128_rf_sm80(PyTorchMemEffAttention::AttentionKernel<cutlass::bfloat16_t>::P)",
    "fmhaSm100fKernel_QkvBfloat16OBfloat16H128PagedKvCausalP64VarSeqQ8Kv128PersistentSwapsAbForGen",
    "cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_3_64x128x128_4x1x1_kernel0_0",
    "kernel_unified_attention_2d",
    "void vllm::paged_attention_v1_kernel<__nv_bfloat16, __nv_bfloat16, 128, 16, 128>(__nv_bfloat16*)",
    "void vllm::paged_attention_v2_reduce_kernel<__nv_bfloat16, 128, 128, 512>(__nv_bfloat16*)",
    "void paged_attention_ll4mi_QKV_mfma16_kernel<__hip_bfloat16>(int)",
    "void flashinfer::BatchPrefillWithPagedKVCacheKernel<flashinfer::KernelTraits<>>(flashinfer::PagedParams)",
    "void flashinfer::BatchPrefillWithRaggedKVCacheKernel<flashinfer::KernelTraits<>>(flashinfer::Params)",
    "void flashinfer::BatchDecodeWithPagedKVCacheKernel<(flashinfer::PosEncodingMode)0, 2u, 4u>(P)",
    "void flashinfer::SinglePrefillWithKVCacheKernel<flashinfer::KernelTraits<>>(flashinfer::Params)",
    "BatchPrefillWithPagedKVCacheKernel",
    "_fwd_grouped_kernel_stage1",
    "_fwd_kernel",
    "_attn_fwd",
    "void ck_tile::kentry<256, 2, ck_tile::FmhaFwdKernel<ck_tile::FmhaFwdPipeline<>>>(Kargs)",
    "void (anonymous namespace)::softmax_warp_forward<float, float, float, 10, false, false>(float*)",
    "void flash_attn_ext_f16<128, 128, 8, 8, false, false>(char const*)",
    "triton_tem_fused_flex_attention_0",
]
EXPERTS = [
    "fused_moe_kernel",
    "fused_moe_kernel_gptq_awq",
    "void cutlass::Kernel2<tensorrt_llm::kernels::cutlass_kernels::MoeFCGemm<>>(Params)",
    "void cutlass::device_kernel<cutlass::gemm::kernel::GemmUniversal<cutlass::gemm::GroupProblemShape<X>>>(P)",
    "_matmul_ogs_NNT_bf16xbf16xmxfp4_128x256x128x1_swiglu",
    "void deep_gemm::m_grouped_gemm_fp8<1u>(float*)",
]
CONVOLUTION = [
    "sm80_xmma_fprop_implicit_gemm_f16f16_f16f32_f32_nhwckrsc_nhwc_tilesize128x64x32_stage5_kernel_cudnn",
    "void cudnn::cnn::conv2d_grouped_direct_kernel<false, true, false, false, 0, 0, int, float>(T)",
    "volta_scudnn_128x64_relu_interior_nn_v1",
    "void cudnn::winograd_nonfused::winogradForwardData4x4<float, float>(cudnn::maxwell::Params)",
    "void im2col_kernel<float>(long, float const*)",
]
QUANTIZATION = [
    "void vllm::scaled_fp8_quant_kernel<c10::BFloat16, c10::Float8_e4m3fn>(c10::Float8_e4m3fn*)",
    "void per_token_group_quant_8bit_kernel<c10::BFloat16, __nv_fp8_e4m3>(void const*)",
    "void dequantize_block_q4_K<__half>(void const*, __half*)",
    "void kDequantizeBlockwise<__nv_bfloat16, 512, 64, 8, 2>(float*, unsigned char*)",
    "void vllm::cvt_fp16_to_fp4<__nv_bfloat16, false>(int, int)",
]
NORM = [
    "void vllm::fused_add_rms_norm_kernel<c10::BFloat16, 8>(c10::BFloat16*, long)",
    "void at::native::(anonymous namespace)::vectorized_layer_norm_kernel<c10::BFloat16, float>(int, float)",
    "void at::native::(anonymous namespace)::RowwiseMomentsCUDAKernel<float>(long, float, float const*)",
    "void cudnn::bn_fw_tr_1C11_kernel_NCHW<float, float, int, 512, true, 1, true>(cudnnTensorStruct)",
    "triton_per_fused_native_layer_norm_1",
    "triton_red_fused_native_layer_norm_0",
    "void flashinfer::norm::FusedAddRMSNormKernel<8u, __nv_bfloat16>(__nv_bfloat16*)",
    "void rms_norm_f32<1024, true, false>(float const*, float*)",
]
REDUCTION = [
    "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::ArgMaxOps<float>, long, 4, 4>>(R)",
    "void at::native::(anonymous namespace)::cunn_SoftMaxForward<4, float, float, float, Epilogue>(float*)",
    "void soft_max_f32<true, 1024, 1024>(float const*)",
    "triton_red_fused__to_copy_add_mean_mul_pow_rsqrt_0",
    "void at_cuda_detail::cub::DeviceReduceKernel<at_cuda_detail::cub::DeviceReducePolicy<>>(int*)",
    "void at::native::tensor_kernel_scan_innermost_dim<float, std::plus<float>>(float*)",
]
ELEMENTWISE = [
    "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<c10::BFloat16>, X>(int)",
    "void at::native::unrolled_elementwise_kernel<at::native::direct_copy_kernel_cuda(at::TensorIteratorBase&)>(int)",
    "triton_poi_fused_add_mul_silu_3",
    "triton_for_fused_0",
    "void vllm::act_and_mul_kernel<c10::BFloat16, &(c10::BFloat16 vllm::silu_kernel<c10::BFloat16>(X)), true>(Y*)",
    "__amd_rocclr_fillBufferAligned",
    "void k_bin_bcast<&op_add(float, float), float, float, float>(float const*)",
]
INDEXING = [
    "void at::native::(anonymous namespace)::indexSelectLargeIndex<float, long, unsigned int, 2, 2, -2, true>(T<>)",
    "void at::native::vectorized_gather_kernel<16, long>(char*, char*, long*)",
    "void at::native::(anonymous namespace)::CatArrayBatchedCopy_aligned16_contig<X, unsigned int, 2, 128, 1>(Y)",
    "void vllm::rotary_embedding_kernel<c10::BFloat16, true>(long const*)",
    "void flashinfer::BatchQKApplyRotaryPosIdsCosSinCacheKernel<true, 128u>(__half*)",
    "void cudnn::ops::nchwToNhwcKernel<__half, __half, float, false, true>(P<float>)",
    "void k_get_rows_float<float, float>(float const*)",
]
SAMPLING = [
    "void at::native::sbtopk::gatherTopK<float, unsigned int, 2, false>(T<float const>)",
    "void at_cuda_detail::cub::DeviceRadixSortOnesweepKernel<at_cuda_detail::cub::DeviceRadixSortPolicy<>>(int*)",
    "void flashinfer::sampling::TopKTopPSamplingFromProbKernel<1024u>(float*)",
    "void vllm::moe::topkGatingSoftmax<4, 64, 4, 16, int>(float const*)",
]
COMMUNICATION = [
    "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)",
    "ncclKernel_AllReduce_RING_LL_Sum_half(ncclWorkElem)",
    "ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)",
    "ncclDevKernel_Generic_4(ncclDevKernelArgsStorage<4096ul>)",
    "rcclGenericKernel<1, false>(ncclDevComm*)",
    "void vllm::cross_device_reduce_1stage<__nv_bfloat16, 2>(vllm::RankData*)",
    "void flashinfer::trtllm_allreduce_fusion::allreduce_fusion_kernel_oneshot_lamport<>(Params)",
    "void deep_ep::internode_ll::dispatch<true, false, 7168>(void*)",
    "one_shot_all_reduce_kernel",
    "multimem_all_reduce_kernel",
    "Memcpy PtoP (Device -> Device)",
]
COPY_HOST = [
    "Memcpy HtoD (Pinned -> Device)",
    "Memcpy HtoD (Pageable -> Device)",
    "Memcpy DtoH (Device -> Pageable)",
    "CopyHostToDevice",
    "CopyDeviceToHost",
    "[CUDA memcpy HtoD]",
    "[CUDA memcpy Host-to-Device]",
    "[CUDA memcpy Device-to-Host]",
]
COPY_DEVICE = [
    "Memcpy DtoD (Device -> Device)",
    "[CUDA memcpy Device-to-Device]",
    "Memset (Device)",
    "[CUDA memset]",
    "CopyDeviceToDevice",
    "__amd_rocclr_copyBuffer",
]
OTHER = ["my_kernel", "void unknown<int>(int)", "", "()", "get_device_properties_kernel", "convertToHalf"]

TABLE = {kind: globals()[kind.name] for kind in KernelClass}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in TABLE.items() for name in names])
def test_a_kernel_is_of_the_class_that_its_name_says(kind: KernelClass, name: str) -> None:
    assert kernel_class(name) is kind


@pytest.mark.parametrize(
    ("kind", "name", "misleading"),
    [
        (KernelClass.INDEXING, "void vllm::reshape_and_cache_flash_kernel<__nv_bfloat16>(X const*)", "flash"),
        (KernelClass.INDEXING, "void flashinfer::AppendPagedKVCacheKernel<128u, 8u>(P<>)", "PagedKVCache"),
        (KernelClass.INDEXING, "void vllm::concat_and_cache_mla_kernel<__nv_bfloat16>(X const*)", "mla_"),
        (KernelClass.INDEXING, "void vllm::moe::moe_align_block_size_kernel<int>(int const*, int*)", "moe"),
        (KernelClass.INDEXING, "void vllm::moe::count_and_sort_expert_tokens_kernel<int>(int const*)", "expert"),
        (KernelClass.INDEXING, "_convert_req_index_to_global_index_kernel", "conv"),
        (KernelClass.INDEXING, "create_attn_mask", "attn"),
        (KernelClass.REDUCTION, "void vllm::moe::moe_sum_kernel<c10::BFloat16, 8>(c10::BFloat16*)", "moe"),
        (KernelClass.ELEMENTWISE, "triton_poi_fused__scaled_dot_product_flash_attention_4", "flash"),
        (KernelClass.ELEMENTWISE, "triton_poi_fused__unsafe_index_convolution_2", "convolution"),
        (KernelClass.ELEMENTWISE, "void flashinfer::activation::act_and_mul_kernel<X, &silu>(X*)", "flash"),
        (KernelClass.NORM, "void vllm::rms_norm_static_fp8_quant_kernel<X, Y>(Y*)", "quant"),
        (KernelClass.NORM, "gemma_rmsnorm_kernel", "gemm"),
        (KernelClass.NORM, "void GemmaRMSNormKernel<8u>(X*)", "Gemm"),
        (KernelClass.ATTENTION, "void flashinfer::BatchPrefillWithPagedKVCacheKernel<T>(P)", "fill"),
        (KernelClass.OTHER, "prepare_attention_mask", "attention"),
        (KernelClass.OTHER, "get_device_properties_kernel", "rope"),
    ],
)
def test_words_of_other_kernels_do_not_mislead(kind: KernelClass, name: str, misleading: str) -> None:
    assert misleading in name
    assert kernel_class(name) is kind


def test_a_name_cut_short_by_a_table_keeps_its_class() -> None:
    for kind in (KernelClass.GEMM, KernelClass.ATTENTION, KernelClass.COMMUNICATION):
        for name in TABLE[kind][:3]:
            assert kernel_class(name[:52] + "...") is kind


def test_only_products_and_the_unknown_may_reach_the_arithmetic_roof() -> None:
    capable = {kind for kind in KernelClass if kind.may_reach_arithmetic_roof}
    assert capable == {
        KernelClass.GEMM,
        KernelClass.CONVOLUTION,
        KernelClass.ATTENTION,
        KernelClass.EXPERTS,
        KernelClass.OTHER,
    }


def test_waiting_for_others_moves_no_device_memory() -> None:
    waits = {kind for kind in KernelClass if kind.moves_no_device_memory}
    assert waits == {KernelClass.COMMUNICATION, KernelClass.COPY_HOST}


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (KernelClass.GEMV, Cause.WEIGHTS),
        (KernelClass.EXPERTS, Cause.WEIGHTS),
        (KernelClass.ATTENTION, Cause.KV_CACHE),
        (KernelClass.NORM, Cause.ACTIVATIONS),
    ],
)
def test_bytes_are_named_after_what_the_kernel_reads(kind: KernelClass, cause: Cause) -> None:
    assert kind.memory_cause is cause


@pytest.mark.parametrize("name", [GEMM[0], GEMM[2], GEMM[3], GEMM[4], GEMM[6], ATTENTION[0], "marlin", "wgmma_kernel"])
def test_kernels_of_tensor_cores_are_known_by_name(name: str) -> None:
    assert uses_tensor_pipe(name)


@pytest.mark.parametrize("name", ["ampere_sgemm_128x64_nn", *NORM[:2], *GEMV[:3], "my_kernel", ""])
def test_other_kernels_are_not_said_to_use_tensor_cores(name: str) -> None:
    assert not uses_tensor_pipe(name)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        (GEMM[0], GEMM[0]),
        (ATTENTION[0], "flash_fwd_kernel"),
        ("void at::native::(anonymous namespace)::cunn_SoftMaxForward<4, X>(float*)", "cunn_SoftMaxForward"),
        ("void <unnamed>::kernel<int>(int)", "kernel"),
        ("Memcpy HtoD (Pinned -> Device)", "Memcpy HtoD"),
        ("vectorized_elementwise_kernel<4, CUDAFunctor_add<X>>", "vectorized_elementwise_kernel [add]"),
        ("elementwise_kernel<2, CUDAFunctorOnSelf_add<X>>", "elementwise_kernel [add]"),
        ("elementwise_kernel<2, BinaryFunctor<X, MulFunctor<X>>>", "elementwise_kernel [Mul]"),
        ("unrolled_elementwise_kernel<direct_copy_kernel_cuda(X)>", "unrolled_elementwise_kernel [direct_copy]"),
        ("elementwise_kernel<2, lambda>", "elementwise_kernel"),
        ("(only parameters)", "(only parameters)"),
    ],
)
def test_short_names_keep_the_function_and_its_functor(name: str, short: str) -> None:
    assert short_name(name) == short


@given(st.text() | st.text(st.sampled_from("ab_:<>(){} *,"), max_size=200))
def test_any_text_is_a_name(name: str) -> None:
    assert isinstance(kernel_class(name), KernelClass)
    assert isinstance(uses_tensor_pipe(name), bool)
    assert len(short_name(name)) <= len(name) + len(" []") + LETTERS


@pytest.mark.parametrize("part", ["a", "a::", "<", "(", "Functor", "rms_", "triton_red_", " "])
def test_what_a_name_says_is_looked_for_near_its_beginning(part: str) -> None:
    long = part * (1_000_000 // len(part))
    assert kernel_class("nvjet_tst<" + long) is KernelClass.GEMM
    assert len(short_name(long)) <= LETTERS
