"""The heavy half of edgekit: Hugging Face folders in, runnable artifacts out.

torch, transformers, executorch and onnx are imported by the modules of this package, never by the
package itself, so that naming it costs nothing.
"""
