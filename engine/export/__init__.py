"""A trained network as a folder that predicts without torch and without medtui: ONNX, and one script."""
