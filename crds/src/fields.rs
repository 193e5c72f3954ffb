//! Predicates of serde that the types share: a field that holds its default is not written.

/// True for `false`: a flag that is not set is not written.
#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}

/// True for the default value of a type.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
