//! Taskloom: the tasks layer.
