//! What people ask for: check-ups, imports, policies, images, gates that ask CloudWatch.

pub mod cloudwatch;
pub mod doctor;
pub mod import;
pub mod policy;
pub mod running_images;
