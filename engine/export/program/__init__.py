"""What an exported folder predicts with. Beside NumPy it needs ONNX Runtime, nibabel and SciPy or Pillow, and pydicom.

Here are the modules that only such a folder has. It holds them, and those of medtui that they import, in one package:
`engine.export.copied`.
"""
