//! Controllers, webhook, leadership and metrics of the control plane.
