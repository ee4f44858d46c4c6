"""What `edgecompress demo` runs on: handwritten digits from scikit-learn's wheel, and a small network for them."""
