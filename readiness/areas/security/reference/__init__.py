"""The edge in front of the reference service: nginx, with certificates of our own authority."""
