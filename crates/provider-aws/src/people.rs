//! What people ask for: check-ups, imports, policies, running images, and gates on CloudWatch.

pub mod cloudwatch;
pub mod doctor;
pub mod import;
pub mod policy;
pub mod running_images;
