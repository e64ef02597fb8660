"use client";
import { FirebrandError, Tensor, load } from "firebrand";
import { useEffect, useState } from "react";
import { classifier } from "../classify.js";

export function Classifier() {
  const [isReady, setReady] = useState(false);
  useEffect(() => {
    globalThis.classify = classifier({ FirebrandError, Tensor, load });
    globalThis.convert = async (model, options) => {
      const { convert } = await import("firebrand/convert");
      return [...(await convert(new Uint8Array(model), { name: "model.onnx", ...options })).model];
    };
    setReady(true);
  }, []);
  return <p>{isReady ? "ready" : "starting"}</p>;
}
