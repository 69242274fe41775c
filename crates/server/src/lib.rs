//! Taskloom: the server layer.
