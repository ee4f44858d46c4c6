"""The pass `student`: a small net of a known family in the model's place.

    step      the pass
    families  MobileNetV1 and V2, ShuffleNet, DS-CNN, ResNet8, by width and depth

Importing this package does not import Keras.
"""
