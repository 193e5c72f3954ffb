//! The pool of a node: by behaviour in [`behaviour`], and whatever happens in [`properties`].

mod behaviour;
mod gone;
mod odd_values;
mod properties;
mod trunk;
mod world;
