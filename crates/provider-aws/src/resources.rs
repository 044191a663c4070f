//! What there is in an account, as AWS describes it: groups, launch templates, images, instances.

pub mod description;
pub mod groups;
pub mod images;
pub mod instances;
pub mod quotas;
pub mod refreshes;
pub mod target_health;
pub mod templates;
