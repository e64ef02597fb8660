import { load, Tensor } from "firebrand";

const photo = new Image();
photo.src = "coffee.png";
await photo.decode();

const session = await load("squeezenet1.1.onnx");
const data = Tensor.fromImage(photo, {
  size: 227, fit: "fill", color: "BGR", mean: [103.939, 116.779, 123.68], scale: 1,
});
const { probabilities } = await session.run({ data });
console.log(probabilities?.data); // one number for each of 1,000 things
