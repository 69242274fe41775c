//! Taskloom: the worker layer.
