"""What runs on Spark: embedding and joining beyond one machine.

The work of a single image is the same as on one machine: the same decoding, the same `Embedder`.
Nothing else of AINA needs Spark (`requirements-spark.txt`).
"""
