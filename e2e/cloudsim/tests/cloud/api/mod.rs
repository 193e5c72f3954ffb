//! Actions, admin API, faults and time, as a request of any client meets them.

mod addresses;
mod admin;
mod attributes;
mod credentials;
mod faults;
mod gates;
mod gateway;
mod life;
mod paging;
mod parsers;
mod prefixes;
mod scale;
mod time;
mod vectors;
mod worlds;
