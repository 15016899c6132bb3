"""Comparing compiled models with ONNX Runtime: one pinned child process per core count, all engines interleaved."""
