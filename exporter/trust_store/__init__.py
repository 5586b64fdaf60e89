"""What each device trusts: reports polled and pushed, and what they say beside what is wanted."""
