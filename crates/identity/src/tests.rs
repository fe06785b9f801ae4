//! Tests of whole histories of calls.
