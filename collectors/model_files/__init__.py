"""Reader of the model that a process uses, from the files that it uses itself: headers only, and nothing downloaded."""

from collectors.model_files.read import Unread, read_given, read_model
from collectors.model_files.record import ModelRecord, shape_from_record
from collectors.model_files.runtime import StatedModel
from collectors.model_files.view import ProcessView

__all__ = ["ModelRecord", "ProcessView", "StatedModel", "Unread", "read_given", "read_model", "shape_from_record"]
