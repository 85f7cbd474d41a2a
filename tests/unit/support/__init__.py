"""What the tests share is tested too: a wrong fake proves wrong things."""
