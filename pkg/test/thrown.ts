import { FirebrandError } from "../src/error.js";

/** The error that a call throws. */
export function thrownBy(call: () => unknown): FirebrandError {
  try {
    call();
  } catch (error) {
    return error as FirebrandError;
  }
  throw new Error("nothing was thrown");
}

/** The error that a promise rejects with. */
export async function rejectionOf(promise: Promise<unknown>): Promise<FirebrandError> {
  try {
    await promise;
  } catch (error) {
    return error as FirebrandError;
  }
  throw new Error("the promise was fulfilled");
}
