"""Every int8 kernel again, in numpy: written for clarity, on whole arrays, and compared byte for byte with the C and with TFLM."""
