//! The life of a record in the window, from its fetch to its commit.
//!
//! | part | what it does |
//! |---|---|
//! | [`state`] | the states, the transitions between them, and the table of those that may happen |
//! | [`apply`] | changes a record's state, and keeps all indexes of the window with it |
//! | [`tracked`] | one record |
//! | [`window`] | all records, with their indexes |
//! | [`count`] | how much is held of each stream |
//! | [`behind`] | the order of calls with the same order key |
//! | [`begun`] | what has begun, and what stands in the way of its commit |
//! | [`orphaned`] | what lost sessions leave |
//! | [`check`] | rebuilds the indexes from the states, and compares |
//!
//! Everybody else reads states, and asks for a transition by [`window::Window::apply`]. What
//! becomes of a record is decided in [`crate::drain::disposition`].

mod apply;
mod begun;
pub(super) mod behind;
mod check;
mod count;
pub(super) mod orphaned;
pub(super) mod state;
pub(super) mod tracked;
pub(super) mod window;
