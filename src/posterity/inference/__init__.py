"""Inference: compiled models, one file per method, diagnostics and gates. Data in, a posterior or a
failure out.
"""
