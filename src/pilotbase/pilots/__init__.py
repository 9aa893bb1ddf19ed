"""Running a pilot: plan, ask, record, conclude. The only caller of targets and judges."""
