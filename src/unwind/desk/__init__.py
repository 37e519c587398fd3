"""What people need around the story: the queue, the whole of one case, the tasks of others."""
