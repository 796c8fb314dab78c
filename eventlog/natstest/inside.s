// Empty: it lets inside.go declare a function whose body is elsewhere.
