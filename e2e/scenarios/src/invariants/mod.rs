//! The invariants of a cluster at rest: pods, records, cloud and the kernel of each node agree, and nothing is there
//! twice or without an owner.
//!
//! Every rule is a function over a [`Picture`] and has a test that shows it fail.

mod fault;
mod kernel;
mod picture;
mod records;
#[cfg(test)]
mod tests;

pub use fault::Fault;
pub use kernel::Object;
pub use picture::{Binding, EniAddresses, HostVeth, Kernel, Member, Picture, RunningPod};

/// All rules.
pub fn check(picture: &Picture) -> Vec<Fault> {
    let mut found = records::pods_with_one_address(picture);
    found.extend(records::addresses_bound_twice(picture));
    found.extend(records::pods_bound_twice(picture));
    found.extend(records::pods_without_their_address(picture));
    found.extend(records::bindings_of_nobody(picture));
    found.extend(records::addresses_unlike_the_cloud(picture));
    let of_enis = crash::checker::at_rest(&picture.cloud).into_iter();
    found.extend(of_enis.map(|violation| Fault::Cloud(Box::new(violation))));
    for (node, kernel) in &picture.kernels {
        found.extend(kernel::unlike_the_records(node, kernel, picture));
    }
    found
}
