"""How processes share a device: processes x batch x precision, started behind a barrier."""
