//! The rate limits of AWS, as far as it publishes them.

/// The token buckets in which AWS counts calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    /// EC2 `Describe*`: 100, and 20 a second ("Request throttling for the Amazon EC2 API", 2026-11).
    Ec2Read,
    /// EC2 mutations: 50, and 5 a second (same page).
    Ec2Write,
    /// Elastic Load Balancing `Describe*`: 40, and 10 a second (same, for the ELB API).
    ElbRead,
    /// Elastic Load Balancing mutations: 20, and 3 a second.
    ElbWrite,
    /// Route 53: 5 a second for the whole account ("Quotas", Route 53 developer guide).
    Dns,
    /// Auto Scaling reads. AWS publishes no rate; this is our own.
    ScalingRead,
    /// Auto Scaling mutations. AWS publishes no rate; this is our own.
    ScalingWrite,
    /// Everything else: S3, STS, CloudWatch. Few calls, high rates.
    Other,
}

impl Bucket {
    /// Capacity, and tokens a second: four fifths of what AWS documents.
    pub fn numbers(self) -> (f64, f64) {
        match self {
            Self::Ec2Read => (80.0, 16.0),
            Self::Ec2Write => (40.0, 4.0),
            Self::ElbRead => (32.0, 8.0),
            Self::ElbWrite => (16.0, 2.4),
            Self::Dns => (4.0, 4.0),
            Self::ScalingRead => (16.0, 8.0),
            Self::ScalingWrite => (8.0, 4.0),
            Self::Other => (40.0, 20.0),
        }
    }
}
