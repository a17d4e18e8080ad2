"""What the notebook's two classes are made of; the classes themselves are in `features`, where the guide imports them."""
