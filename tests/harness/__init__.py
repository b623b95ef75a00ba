"""What the stage and end-to-end tests stand on: private servers, pipelines over them, waiting with a deadline."""
