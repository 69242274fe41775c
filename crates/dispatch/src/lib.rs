//! Taskloom: the dispatch layer.
