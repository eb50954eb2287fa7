-- The vendors that a consent string names, and does not name, of those that a destination of the workspace had when the event
-- came. One that does not say when the person decided, decides only about those whom it does not name.
ALTER TABLE consent_decisions /*ON CLUSTER*/
ADD COLUMN IF NOT EXISTS allowed_vendors Array(UInt16) COMMENT 'numbers in the IAB\'s Global Vendor List',
ADD COLUMN IF NOT EXISTS denied_vendors Array(UInt16)
