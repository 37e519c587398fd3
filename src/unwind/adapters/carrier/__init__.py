"""Carriers by their own formats. An accepted recall proves nothing; what does, differs from carrier to carrier."""
