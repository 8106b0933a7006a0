//! One file per task.

pub(crate) mod bench;
pub(crate) mod book;
pub(crate) mod chaos;
pub(crate) mod dist;
pub(crate) mod member;
pub(crate) mod overload;
pub(crate) mod render;
pub(crate) mod sim;
pub(crate) mod test;
pub(crate) mod up;
