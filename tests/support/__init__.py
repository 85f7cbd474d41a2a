"""What tests share: an engine, images, repositories, the installed command, time."""
