//! Taskloom: the engine layer.
