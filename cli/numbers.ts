import { InvalidArgumentError } from "commander";

/** Parses the value of an option that counts something. */
export function positiveInteger(value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1) {
    throw new InvalidArgumentError("It must be a whole number above 0.");
  }
  return number;
}

/** Parses the value of an option that counts something that may be absent. */
export function wholeNumber(value: string): number {
  const number = Number(value);
  if (value.trim() === "" || !Number.isInteger(number) || number < 0) {
    throw new InvalidArgumentError("It must be a whole number, 0 or above.");
  }
  return number;
}

/** Parses the value of an option that is a size. */
export function positiveNumber(value: string): number {
  const number = Number(value);
  if (!Number.isFinite(number) || number <= 0) {
    throw new InvalidArgumentError("It must be a number above 0.");
  }
  return number;
}

/** Parses the value of an option that is a part of a whole. */
export function fraction(value: string): number {
  const number = Number(value);
  if (!(number > 0 && number <= 1)) {
    throw new InvalidArgumentError("It must be a number above 0, at most 1.");
  }
  return number;
}
