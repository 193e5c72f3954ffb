//! The kernel objects that the datapath is about, as a table of kinds.
//!
//! An object is a key and a value. The key tells the object from all others; the value is what can be changed in
//! place. What should be and what is are both a map of objects ([`State`](crate::state::State)), a plan is their
//! difference, and each kind says for itself what the plan must know: its words, whom it serves, and who may remove it.
//!
//! A new kind is four edits: its file here with [`Kind`], its line in [`kinds`], its [`Driver`] in the agent, and the
//! place in [`desired`](crate::desired) that asks for it. A new eBPF map is a [`Map`](entry::Map) instead of a `Kind`,
//! and has its driver already.

pub mod address;
pub mod dead_end;
pub mod entry;
pub mod filter;
pub mod left;
pub mod link;
pub mod marks;
pub mod neighbour;
pub mod route;
pub mod rule;
pub mod subject;
pub mod sysctl;

use std::fmt;

use crate::observed::{Ask, Observed, Side};

pub use address::Address;
pub use dead_end::DeadEnd;
pub use entry::{Entry, Pop, Push, Source};
pub use filter::Filter;
pub use left::Left;
pub use link::{LinkIndex, LinkSetting};
pub use marks::Marks;
pub use neighbour::Neighbour;
pub use route::Route;
pub use rule::Rule;
pub use subject::{Focus, Subject};
pub use sysctl::Sysctl;

/// Who else has objects of a kind, and therefore who may remove them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Custody {
    /// The host and other programs have them too. A missing object is put; none is ever removed.
    Completed,
    /// All that are observed are the datapath's own. One that is not wanted is removed in this turn.
    Ours(Turn),
}

/// When unwanted objects are removed, in this order: a packet must not meet a way whose checks have gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// Rules and routes: they lead packets to everything below.
    Ways,
    /// What the programs on ENIs look up.
    Lookups,
    /// The programs. (A link's own programs and routes go with the link.)
    Programs,
    /// The links that are deleted have gone before this turn. What the check of sources looks up stays until then, or
    /// the last packets of a dying pod would count as spoofed.
    Checks,
}

/// A kind of kernel object, implemented by its key.
pub trait Kind: Clone + Ord + fmt::Debug + 'static {
    /// What can be changed in place; `()` where an object is there or is not.
    type Value: Clone + Eq + fmt::Debug;

    /// Who may remove objects of this kind.
    const CUSTODY: Custody;

    /// Where objects of this kind are.
    const SIDE: Side = Side::Host;

    /// Whom the object serves.
    fn subject(&self, value: &Self::Value) -> Subject;

    /// Whether the kernel removes the object when this link goes.
    fn goes_with(&self, _link: u32) -> bool {
        false
    }

    /// Whether the kernel removes `other` when this object is put.
    fn replaces(&self, _other: &Self) -> bool {
        false
    }

    /// Says what putting does, as in "add route …".
    fn say_put(&self, value: &Self::Value, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// Says what removing does.
    fn say_removal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// The errors of what reads and changes objects.
pub trait Handles {
    /// Why the objects could not be read.
    type ReadError;
    /// Why an object could not be put or removed.
    type ChangeError;
}

/// Reads and changes the objects of one kind: in the kernel, or in a test's model of the kernel.
pub trait Driver<K: Kind>: Handles {
    /// Adds the objects that are there to `seen`, as many as `ask` asks for.
    fn observe(&mut self, ask: &Ask<'_>, seen: &mut Observed) -> Result<(), Self::ReadError>;

    /// Makes the object, or changes its value.
    fn put(&mut self, key: &K, value: &K::Value) -> Result<(), Self::ChangeError>;

    /// Removes the object. Succeeds when the object is not there.
    fn remove(&mut self, key: &K) -> Result<(), Self::ChangeError>;
}

/// A kind that has its line in [`kinds`].
pub trait Listed: Kind {
    /// The key among the keys of all kinds.
    fn key(self) -> Key;
    /// The object.
    fn with(self, value: Self::Value) -> Object;
    /// Key and value, if the object is of this kind.
    fn of(object: &Object) -> Option<(&Self, &Self::Value)>;
}

macro_rules! kinds {
    ($($kind:ident($key:ty)),* $(,)?) => {
        /// What tells an object from all others. Keys are ordered as their kinds are listed.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Key {
            $($kind($key)),*
        }

        /// A kernel object.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Object {
            $($kind($key, <$key as Kind>::Value)),*
        }

        impl Key {
            /// Who may remove the object.
            pub fn custody(&self) -> Custody {
                match self {
                    $(Key::$kind(_) => <$key as Kind>::CUSTODY),*
                }
            }

            /// Whether the kernel removes the object when this link goes.
            pub fn goes_with(&self, link: u32) -> bool {
                match self {
                    $(Key::$kind(key) => key.goes_with(link)),*
                }
            }

            /// Removes the object.
            pub fn remove<H: AllDrivers>(&self, handles: &mut H) -> Result<(), H::ChangeError> {
                match self {
                    $(Key::$kind(key) => Driver::<$key>::remove(handles, key)),*
                }
            }

            /// Says what removing does.
            pub fn say_removal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Key::$kind(key) => key.say_removal(f)),*
                }
            }
        }

        impl Object {
            /// The key.
            pub fn key(&self) -> Key {
                match self {
                    $(Object::$kind(key, _) => Key::$kind(key.clone())),*
                }
            }

            /// Whom the object serves.
            pub fn subject(&self) -> Subject {
                match self {
                    $(Object::$kind(key, value) => key.subject(value)),*
                }
            }

            /// Whether the kernel removes `other` when this object is put.
            pub fn replaces(&self, other: &Key) -> bool {
                match (self, other) {
                    $((Object::$kind(new, _), Key::$kind(old)) => new.replaces(old),)*
                    _ => false,
                }
            }

            /// Makes the object, or changes its value.
            pub fn put<H: AllDrivers>(&self, handles: &mut H) -> Result<(), H::ChangeError> {
                match self {
                    $(Object::$kind(key, value) => Driver::<$key>::put(handles, key, value)),*
                }
            }

            /// Says what putting does.
            pub fn say_put(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Object::$kind(key, value) => key.say_put(value, f)),*
                }
            }
        }

        $(impl Listed for $key {
            fn key(self) -> Key {
                Key::$kind(self)
            }

            fn with(self, value: Self::Value) -> Object {
                Object::$kind(self, value)
            }

            fn of(object: &Object) -> Option<(&Self, &Self::Value)> {
                match object {
                    Object::$kind(key, value) => Some((key, value)),
                    _ => None,
                }
            }
        })*

        /// Handles with a driver for each kind.
        pub trait AllDrivers: $(Driver<$key> +)* Handles {}

        impl<H: $(Driver<$key> +)* Handles> AllDrivers for H {}

        /// Reads the objects of all kinds that can be on the side that is asked about.
        pub fn observe<H: AllDrivers>(handles: &mut H, ask: &Ask<'_>) -> Result<Observed, H::ReadError> {
            let mut seen = Observed::default();
            $(if ask.side.has(<$key as Kind>::SIDE) {
                Driver::<$key>::observe(handles, ask, &mut seen)?;
            })*
            Ok(seen)
        }
    };
}

// Objects are put in this order: what the programs look up, the programs, the link, the ways that lead packets there.
// A packet never meets a way without its checks.
kinds! {
    Sysctl(Sysctl),
    Source(Entry<Source>),
    Push(Entry<Push>),
    Pop(Entry<Pop>),
    Filter(Filter),
    Link(LinkIndex),
    Address(Address),
    Neighbour(Neighbour),
    DeadEnd(DeadEnd),
    Route(Route),
    Rule(Rule),
    Marks(Marks),
    Left(Left),
}
