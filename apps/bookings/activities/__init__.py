"""Activities of bookings and of trips, a module for each."""
