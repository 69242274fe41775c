//! Taskloom: the store layer.
