-- When a run was seen to take longer than orchestrator.run_duration_max_s; said once.
ALTER TABLE etl.runs ADD COLUMN IF NOT EXISTS overdue_at timestamptz;
