-- When the newest of these runs was asked for that compared the credit, too: later ones could not, where touches of its
-- window are deleted for their age.
ALTER TABLE reconciled_conversions /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS credit_run_time DateTime64(6, 'UTC') DEFAULT run_time COMMENT '1970: none did'
