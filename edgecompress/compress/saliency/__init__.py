"""How much each weight, neuron, channel and layer matters. `score` is the front door; `criteria` holds the formulas, in numpy.

The names, what each exists for and what it reads are a table in `edgecompress.recipe.saliency`.
"""
