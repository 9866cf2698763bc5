"""Tables as people bring them: any shape, any mistake, real ones, and on any number of workers."""
